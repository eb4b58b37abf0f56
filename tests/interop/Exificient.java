// EXIficient with grammars made of XML schemas: one message each line, fields with tabs between, "document" or
// "fragment", then "tables" or "plain", then the schema's file, then XML without line breaks. Prints EXI in hexadecimal.
//   java -cp EXICodec.jar Exificient.java < messages

import com.siemens.ct.exi.core.EXIFactory;
import com.siemens.ct.exi.core.grammars.Grammars;
import com.siemens.ct.exi.core.helpers.DefaultEXIFactory;
import com.siemens.ct.exi.grammars.GrammarFactory;
import com.siemens.ct.exi.main.api.sax.EXIResult;
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import javax.xml.parsers.SAXParserFactory;
import org.xml.sax.*;

public class Exificient {
    static final Map<String, Grammars> GRAMMARS = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            String[] fields = line.split("\t", 4);
            System.out.println(encoded(fields[0].equals("fragment"), fields[1].equals("tables"), fields[2], fields[3]));
        }
    }

    static String encoded(boolean fragment, boolean tables, String schema, String xml) {
        try {
            if (!GRAMMARS.containsKey(schema)) {
                GRAMMARS.put(schema, GrammarFactory.newInstance().createGrammars(schema));
            }
            EXIFactory factory = DefaultEXIFactory.newInstance();
            factory.setGrammars(GRAMMARS.get(schema));
            factory.setFragment(fragment);
            if (!tables) {
                factory.setValuePartitionCapacity(0);
            }
            ByteArrayOutputStream octets = new ByteArrayOutputStream();
            EXIResult result = new EXIResult(factory);
            result.setOutputStream(octets);
            SAXParserFactory parsers = SAXParserFactory.newInstance();
            parsers.setNamespaceAware(true);
            XMLReader reader = parsers.newSAXParser().getXMLReader();
            reader.setContentHandler(result.getHandler());
            reader.parse(new InputSource(new StringReader(xml)));
            return HexFormat.of().formatHex(octets.toByteArray());
        } catch (Exception refused) {
            return String.valueOf(refused).replace('\n', ' ');
        }
    }
}
